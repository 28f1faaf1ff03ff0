/**
 * Does the package run on this version of Node? The same range as `engines` in package.json, as code: a preload is
 * not stopped by `engines`, and an application must not die of a tool that was only to watch it.
 *
 * 20.19 and 22.13 are the first of their lines where `require()` and `import` of an ES module share one instance
 * without a flag and without a warning (doc/api/modules.md, "Loading ECMAScript modules using require()").
 *
 * @param version as `process.version` has it
 */
export function isSupportedNode(version: string): boolean {
  const [, major, minor] = /^v?(\d+)\.(\d+)\./.exec(version) ?? []
  if (major === undefined || minor === undefined) return false
  switch (Number(major)) {
    case 20:
      return Number(minor) >= 19
    case 22:
      return Number(minor) >= 13
    default:
      return Number(major) > 22
  }
}

export const SUPPORTED_NODE = '^20.19.0 || >=22.13.0'
