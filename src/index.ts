export { install } from './install.js'
export { installedGuard } from './guard/registry.js'
export type { AdapterGuard, Guard, ServerOptions, SocketUse } from './guard/guard.js'
export { reportHandler } from './server/mounted-report.js'
export type { MountedReportOptions } from './server/mounted-report.js'
export type {
  InstallOptions,
  IncidentOptions,
  IncidentPolicy,
  KeepAliveOptions,
  LogFunction,
  PolicyOptions,
  PressureOptions,
  PressurePolicy,
  ResolvedOptions,
} from './options/options.js'
export type { KernelProbe, KernelSample, ProbeRun, ProbeTarget } from './kernel/probe.js'
export { fromAsyncLocalStorage } from './owner/context/async-local-storage.js'
export { fromClsHooked } from './owner/context/cls-hooked.js'
export type { ClsNamespace } from './owner/context/cls-hooked.js'
export type { ContextProvider } from './owner/context/provider.js'
export type { RequestLike, ResponseLike, WebSocketLike } from './owner/request-name.js'
export type { ToldRoute } from './owner/request-name.js'
export type { GuardListener } from './act/announcer.js'
export { SocketLeakGuardError, wrongServer } from './base/errors.js'
export type { ErrorCode } from './base/errors.js'
export type { ActionChooser, KeepAlivePolicy, SocketPolicy } from './judge/policy.js'
export type {
  AccessStacks,
  Endpoint,
  Evidence,
  GuardEvent,
  HealedSite,
  LintFinding,
  OrphansReport,
  Owner,
  PairReport,
  PairSide,
  PartnerName,
  PartnerReport,
  PortsReport,
  PressureReport,
  Report,
  RequestInfo,
  SiteCount,
  SiteReport,
  SnapshotQuery,
  SocketReport,
  StallReport,
  Totals,
} from './core/report.js'
export { ACTIONS, CONDITIONS, EVENT_TYPES, KINDS, VERDICTS } from './core/vocabulary.js'
export type {
  Action,
  Condition,
  Direction,
  EventType,
  KernelState,
  Kind,
  LintRule,
  Phase,
  Sensor,
  Tie,
  Verdict,
} from './core/vocabulary.js'
