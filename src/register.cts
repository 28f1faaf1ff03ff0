/**
 * What `--require socket-leak-guard/register` and `require()` get: a door to register.js that can't end the application.
 *
 * - Node before 20.19 and 22.12, and later ones with `--no-experimental-require-module`, answer a `require()` of an
 *   ES module with ERR_REQUIRE_ESM, before the application's first line
 * - `module.register()` makes a thread for loader hooks that runs every `--require` again, and where on some versions
 *   the `require()` of an ES module throws ERR_METHOD_NOT_IMPLEMENTED (lib/internal/modules/esm/hooks.js `resolveSync`; seen
 *   on 22.23, not on 20.20, 22.13, 24.21 and 26.10), which then ends the application
 *
 * CommonJS and of the oldest syntax on purpose.
 */
const threads = require('node:worker_threads')

function guardThisThread() {
  // A thread of Node's own has no sockets to guard.
  if (threads.isInternalThread === true) return
  try {
    require('./register.js')
  } catch (error) {
    // What fails in another thread has failed in the main thread before.
    if (threads.isMainThread) warn(error)
  }
}

function warn(error: any) {
  if (/^\s*(off|false|no|0)\s*$/i.test(process.env['SOCKET_LEAK_GUARD_ENABLED'] || '')) return
  const isUnsupported = error.code === 'ERR_REQUIRE_ESM'
  const reason = isUnsupported
    ? 'require() of this Node (' +
      process.version +
      ') does not load ES modules. It needs ^20.19.0 || >=22.13.0 without --no-experimental-require-module'
    : String(error)
  process.emitWarning('the guard stays off: ' + reason, {
    type: 'SocketLeakGuardWarning',
    code: isUnsupported ? 'SLG_ERR_UNSUPPORTED_NODE' : 'SLG_WARN_INTERNAL',
  })
}

guardThisThread()
