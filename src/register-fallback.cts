/**
 * What `--require socket-leak-guard/register` gets where `require()` can't load an ES module: Node before 20.19 and
 * 22.12, or a later one with `--no-experimental-require-module`. There register.js would end the application with
 * ERR_REQUIRE_ESM before its first line; this file only says so. It is CommonJS and of the oldest syntax on purpose.
 */
const isSwitchedOff = /^\s*(off|false|no|0)\s*$/i.test(process.env['SOCKET_LEAK_GUARD_ENABLED'] || '')

if (!isSwitchedOff) {
  process.emitWarning(
    'the guard stays off: require() of this Node (' +
      process.version +
      ') does not load ES modules. It needs ^20.19.0 || >=22.13.0 without --no-experimental-require-module',
    { type: 'SocketLeakGuardWarning', code: 'SLG_ERR_UNSUPPORTED_NODE' },
  )
}
