/** A real browser, where there is one: Debian's chromium, driven by playwright-core. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Browser } from 'playwright-core'
import type { Test } from 'tap'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Containers have little of it.
  '--disable-dev-shm-usage',
]

const LONGEST_START_MS = 50_000

export function findBrowser(): string | null {
  return [process.env['CHROMIUM'], ...PLACES].find((path) => path !== undefined && existsSync(path)) ?? null
}

/** Until the test ends, with a new and empty profile. */
export async function launchBrowser(t: Test, path: string): Promise<Browser> {
  const home = mkdtempSync(join(tmpdir(), 'slg-browser-'))
  const launch = () =>
    chromium.launch({
      executablePath: path,
      args: FLAGS,
      timeout: LONGEST_START_MS,
      // The test runner's loader is not for others.
      env: { PATH: process.env['PATH'] ?? '', HOME: home },
    })
  // On a machine that does much else, the first start may fail.
  const browser = await launch().catch(launch)
  t.teardown(async () => {
    await browser.close()
    rmSync(home, { recursive: true, force: true, maxRetries: 10 })
  })
  return browser
}
