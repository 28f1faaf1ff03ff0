// The range of `engines`, which does not stop a preload. From these on, `require()` and `import` of an ES module share
// one instance without a flag or warning (doc/api/modules.md).
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
