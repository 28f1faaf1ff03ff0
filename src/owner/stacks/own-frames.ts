import { readFileSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { captureError, frameOf, linesOf } from './frames.js'

const NAME = 'socket-leak-guard'
const INSTALLED = /[\\/]node_modules[\\/]socket-leak-guard[\\/]/
const OUR_FOLDERS =
  /^(?:(?:build|dist)[\\/])?(?:src|adapters)[\\/]|^dist[\\/](?!(?:test|bench|examples)[\\/])/

export interface OwnFrames {
  isOwn(file: string): boolean
  // In a bundle without a map our frames can't be told from the application's. All are dropped, because blaming the
  // application for ours is worse.
  isIndistinct(file: string): boolean
}

export function recogniseOwnFrames(): OwnFrames {
  const file = linesOf(captureError().stack)
    .map(frameOf)
    .find((frame) => frame !== null)?.file
  const isInstalled = file === undefined || INSTALLED.test(file)
  const root = isInstalled ? null : rootOf(file)
  return {
    isOwn: (other) =>
      INSTALLED.test(other) ||
      (root !== null && other.startsWith(root) && OUR_FOLDERS.test(other.slice(root.length))),
    isIndistinct: (other) => !isInstalled && root === null && other === file,
  }
}

function rootOf(file: string): string | null {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const name = packageNameIn(folder)
    if (name !== undefined) return name === NAME ? folder + sep : null
  }
  return null
}

function packageNameIn(folder: string): unknown {
  try {
    return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name?: unknown }).name
  } catch {
    return undefined
  }
}
