import { setTimeout as sleep } from 'node:timers/promises'

/** Polls until the claim is true. For what announces itself to nobody (the kernel's tables); otherwise wait on events. */
export async function until(
  claim: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await claim())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`)
    await sleep(10)
  }
}
