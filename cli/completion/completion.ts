import { EXIT, Failure, type Command } from '../command.js'
import { say } from '../terminal.js'

const SHELLS = ['bash', 'zsh', 'fish'] as const

export function completionOf(commands: () => readonly Command[]): Command {
  return {
    name: 'completion',
    operands: SHELLS.join('|'),
    summary: 'Prints a completion script for a shell.',
    about: [
      'bash: eval "$(socket-leak-guard completion bash)"    in ~/.bashrc; zsh alike\n' +
        'fish: socket-leak-guard completion fish | source',
    ],
    flags: {},
    least: 1,
    async run({ operands: [shell] }) {
      if (shell !== 'bash' && shell !== 'zsh' && shell !== 'fish') {
        throw new Failure(`the shell must be one of ${SHELLS.join(', ')}`, EXIT.usage)
      }
      say(shell === 'fish' ? forFish(commands()) : forBash(commands(), shell === 'zsh'))
      return EXIT.fine
    },
  }
}

function flagsOf({ flags }: Command): string[] {
  return [...Object.keys(flags), 'help'].map((flag) => `--${flag}`)
}

function forBash(commands: readonly Command[], isZsh: boolean): string {
  const cases = commands.map((command) => `    ${command.name}) words="${flagsOf(command).join(' ')}" ;;`)
  return `${isZsh ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_socket_leak_guard() {
  local words="${commands.map(({ name }) => name).join(' ')} --help --version" word="\${COMP_WORDS[COMP_CWORD]}"
  if [ "$COMP_CWORD" -gt 1 ]; then case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _socket_leak_guard socket-leak-guard`
}

function forFish(commands: readonly Command[]): string {
  const quoted = (text: string): string => `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`
  return commands
    .flatMap(({ name, summary, flags }) => [
      `complete -c socket-leak-guard -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
      ...Object.entries(flags).map(
        ([flag, { type, help }]) =>
          `complete -c socket-leak-guard -n '__fish_seen_subcommand_from ${name}' -l ${flag}${type === 'string' ? ' -r' : ''} -d ${quoted(help)}`,
      ),
    ])
    .join('\n')
}
