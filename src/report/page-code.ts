// Bundled from `page/`: `npm run build` fills this in (scripts/page.ts).
export const PAGE_SCRIPT: string = ''
export const PAGE_STYLE: string = ''
