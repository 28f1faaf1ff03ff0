/** A ring with a gap, as a `data:` address: without an icon of its own a page makes the browser ask for one. */
export const PAGE_ICON =
  'data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22%3E' +
  '%3Ccircle cx=%228%22 cy=%228%22 r=%225.5%22 fill=%22none%22 stroke=%22%23357a6b%22 stroke-width=%223%22 ' +
  'stroke-dasharray=%2228 7%22 stroke-linecap=%22round%22/%3E%3C/svg%3E'
