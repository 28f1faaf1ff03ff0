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
]

export function findBrowser(): string | null {
  return [process.env['CHROMIUM'], ...PLACES].find((path) => path !== undefined && existsSync(path)) ?? null
}

/** Until the test ends, with a new and empty profile. */
export async function launchBrowser(t: Test, path: string): Promise<Browser> {
  const home = mkdtempSync(join(tmpdir(), 'slg-browser-'))
  const browser = await chromium.launch({
    executablePath: path,
    args: FLAGS,
    // The test runner's loader is not for others.
    env: { PATH: process.env['PATH'] ?? '', HOME: home },
  })
  t.teardown(async () => {
    await browser.close()
    rmSync(home, { recursive: true, force: true, maxRetries: 5 })
  })
  return browser
}
