import { Socket } from 'node:net'
import type { Guard } from '../guard/guard.js'
import { isTcp } from '../socket/fields.js'

/**
 * Makes the guard know the connections that were open before it came. Otherwise they would be met at their next byte,
 * and look as if they had been opened by the test that is running then.
 *
 * Rests on `process._getActiveHandles()` (src/node_process_methods.cc, GetActiveHandles; checked on Node 20.20, 22.23,
 * 24.21 and 26.10), which lists the owners of all handles that keep the process alive. Where it is missing, connections
 * are met at their next byte.
 */
export function adoptOpenSockets(guard: Guard): void {
  const { _getActiveHandles } = process as unknown as { _getActiveHandles?: () => unknown[] }
  for (const handle of _getActiveHandles?.call(process) ?? []) {
    // Pipes are left out: a child's stdio is nobody's connection.
    if (handle instanceof Socket && isTcp(handle) && !handle.destroyed) guard.adapter.attribute(handle, {})
  }
}
