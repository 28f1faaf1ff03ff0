export interface ReportSource {
  read(q: object): object
  subscribe(l: (e: any) => void): () => void
}
export const createReportHandler = (_s: unknown, _o: unknown) => null
