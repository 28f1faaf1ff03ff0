/** `node program.js FOLDER SCENE...`: plays the scenes one after the other and leaves what it recorded in the folder. */
import { startRecording } from './recorder.js'
import { HTTP } from './scenes-http.js'
import { NET } from './scenes-net.js'
import { CHILDREN, ENDINGS, PROGRAMS } from './scenes-program.js'

const SCENES = { ...NET, ...HTTP, ...PROGRAMS, ...CHILDREN, ...ENDINGS }

async function main(folder: string, names: readonly string[]): Promise<void> {
  const { note } = startRecording(names[0]!.replaceAll(/\W+/g, '-'), folder)
  for (const name of names) await SCENES[name]!(note)
}

void main(process.argv[2]!, process.argv.slice(3))
