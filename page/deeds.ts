/** What the buttons of a socket do: ask whether it is meant, do it, show what came of it. */

interface Answer {
  readonly error?: { readonly message: string }
  readonly socket?: { readonly phase: string } | null
}

export interface DeedHooks {
  request(path: string, options: RequestInit): Promise<Response>
  refresh(): Promise<void>
}

export function listenForDeeds({ request, refresh }: DeedHooks): void {
  document.addEventListener('click', (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>('button[data-deed]')
    if (button !== null) void act(button)
  })

  async function act(button: HTMLButtonElement): Promise<void> {
    const { deed = '', confirm } = button.dataset
    const place = button.closest('.deeds')!
    const outcome = place.querySelector('output')!
    if (confirm !== undefined && !(await isMeant(button.textContent, confirm, place))) return
    outcome.textContent = 'Asking the process …'
    try {
      const response = await request(deed, { method: 'POST' })
      const answer = (await response.json()) as Answer
      outcome.textContent = describe(button.textContent, answer)
      if (answer.socket === null)
        tell(`${button.textContent} socket #${place.getAttribute('data-socket')}: done. It is closed.`)
    } catch {
      outcome.textContent =
        'No answer: the connection to the process is lost. It may or may not have been done.'
      return
    }
    await refresh()
  }
}

/** The row of a closed socket goes, and what was told in it. */
function tell(words: string): void {
  const news = document.getElementById('news')!
  news.textContent = words
  news.hidden = false
}

/** Code that was found is in the report from now on. */
function describe(name: string, { error, socket }: Answer): string {
  if (error !== undefined) return `Not done: ${error.message}`
  if (socket === undefined) return ''
  return `${name}: done. ${socket === null ? 'It is closed.' : `It is there, ${socket.phase}.`}`
}

function isMeant(name: string, consequence: string, place: Element): Promise<boolean> {
  const dialog = document.getElementById('confirm') as HTMLDialogElement
  const [title, text, sight, yes, no] = ['title', 'text', 'sight', 'yes', 'no'].map((part) =>
    document.getElementById(`confirm-${part}`)!,
  )
  title!.textContent = `${name} socket #${place.getAttribute('data-socket')}?`
  text!.textContent = consequence
  sight!.textContent = place.getAttribute('data-sight') ?? ''
  yes!.textContent = name
  dialog.showModal()
  return new Promise((resolve) => {
    const over = new AbortController()
    const { signal } = over
    yes!.addEventListener('click', () => dialog.close('yes'), { signal })
    no!.addEventListener('click', () => dialog.close('no'), { signal })
    const onClose = () => {
      over.abort()
      resolve(dialog.returnValue === 'yes')
      dialog.returnValue = ''
    }
    dialog.addEventListener('close', onClose, { signal })
  })
}
