/** Name, below `socket_leak_guard.`, and unit (UCUM) of each metric in OpenTelemetry. */
export const INSTRUMENTS: Readonly<Record<string, readonly [name: string, unit: string]>> = {
  tracked_sockets: ['socket.tracked', '{socket}'],
  sockets: ['socket.count', '{socket}'],
  outcomes_total: ['socket.outcomes', '{socket}'],
  condition_sockets: ['condition.sockets', '{socket}'],
  judged_sockets: ['standing.sockets', '{socket}'],
  leaks_total: ['site.leaks', '{socket}'],
  leaked_sockets: ['site.leaked', '{socket}'],
  oldest_seconds: ['socket.age.max', 's'],
  unread_bytes: ['socket.unread', 'By'],
  unsent_bytes: ['socket.unsent', 'By'],
  leak_growth_per_hour: ['socket.growth', '{socket}/h'],
  descriptor_limit: ['file_descriptor.limit', '{file_descriptor}'],
  descriptor_limit_reached_seconds: ['file_descriptor.exhaustion', 's'],
  held_ports: ['peer.ports', '{port}'],
  parted_pairs: ['pair.parted', '{pair}'],
  open_connections: ['connection.open', '{connection}'],
  waiting_connections: ['connection.waiting', '{connection}'],
  longest_wait_seconds: ['connection.wait.max', 's'],
  growing_sites: ['site.growing', '{site}'],
  queued_requests: ['request.queued', '{request}'],
  event_loop_stalls_total: ['event_loop.stalls', '{stall}'],
  event_loop_stall_longest_seconds: ['event_loop.stall.max', 's'],
  sweeps_total: ['sweep.count', '{sweep}'],
  sweep_seconds_total: ['sweep.time', 's'],
  sweep_longest_seconds: ['sweep.time.max', 's'],
  faults_total: ['faults', '{fault}'],
  kernel_probe_info: ['kernel.probe', '1'],
}

/** It has a name of its own in the semantic conventions. */
export const OPEN_DESCRIPTORS = ['process.unix.file_descriptor.count', '{file_descriptor}'] as const
