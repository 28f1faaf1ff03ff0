/** Ends LICENSE with the licences of the packages that are bundled: each asks to go with every copy of its code. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..', '..')
const LICENSE = join(ROOT, 'LICENSE')
const HEAD = '\n---\n\nContains code of the following packages, under their own licences.\n'

/** @param files whose code is in `dist/` */
export function writeNotices(files: readonly string[]): void {
  const folders = files.flatMap((file) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? [])
  const notices = [...new Set(folders)].map(noticeIn).sort()
  const [own = ''] = readFileSync(LICENSE, 'utf8').split(HEAD)
  writeFileSync(LICENSE, own + HEAD + notices.join(''))
}

function noticeIn(folder: string): string {
  const [, name = ''] = folder.split(/^.*\/node_modules\//)
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
  if (file === undefined) throw new Error(`${folder} is bundled and has no licence`)
  return `\n## ${name}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`
}
