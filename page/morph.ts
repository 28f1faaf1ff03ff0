/** Makes `from` like `to` in place, so that focus, selection, open details and what is typed in stay. */
export function morph(from: Element, to: Element): void {
  // That belongs to the script.
  if (from.hasAttribute('data-own')) return
  for (const { name } of [...from.attributes])
    if (!to.hasAttribute(name) && !isLeftToReader(from, name)) from.removeAttribute(name)
  for (const { name, value } of to.attributes)
    if (from.getAttribute(name) !== value) from.setAttribute(name, value)
  morphChildren(from, to)
}

function isLeftToReader(element: Element, name: string): boolean {
  return name === 'open' && element.nodeName === 'DETAILS'
}

function morphChildren(from: Element, to: Element): void {
  const known = new Map([...from.children].map((child) => [keyOf(child), child]))
  let next: ChildNode | null = from.firstChild
  for (const wanted of to.childNodes) {
    const key = keyOf(wanted)
    const found = key === '' ? next : known.get(key)
    if (found === undefined || found === null || found.nodeName !== wanted.nodeName || keyOf(found) !== key) {
      from.insertBefore(document.importNode(wanted, true), next)
      continue
    }
    if (found === next) next = next.nextSibling
    else from.insertBefore(found, next)
    if (found instanceof Element) morph(found, wanted as Element)
    else if (found.nodeValue !== wanted.nodeValue) found.nodeValue = wanted.nodeValue
  }
  while (next !== null) {
    const rest: ChildNode | null = next.nextSibling
    next.remove()
    next = rest
  }
}

/** Sections are known by their headings. */
function keyOf(node: Node): string {
  if (!(node instanceof Element)) return ''
  return node.id || (node.getAttribute('aria-labelledby') ?? '')
}
