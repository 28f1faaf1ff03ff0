// Without `--enable-source-maps`: maps are read when a report asks, and in doubt the compiled place stays.
import type { Place } from './frames.js'
import { loadMap, originalPlaceIn, type OriginalPlace, type TraceMap } from './map-file.js'

const MOST_MAPS = 8

export class SourceMaps {
  /** Latest last. A map unfolds to about twenty times its size, so it is held weakly. */
  readonly #maps = new Map<string, WeakRef<{ readonly map: TraceMap | null }>>()

  originalPlaceOf(place: Place): OriginalPlace | null {
    try {
      const map = this.#mapOf(place.file)
      return map === null ? null : originalPlaceIn(map, place)
    } catch {
      return null
    }
  }

  #mapOf(file: string): TraceMap | null {
    const loaded = this.#maps.get(file)?.deref() ?? { map: loadMap(file) }
    this.#maps.delete(file)
    this.#maps.set(file, new WeakRef(loaded))
    if (this.#maps.size > MOST_MAPS) this.#maps.delete(this.#maps.keys().next().value!)
    return loaded.map
  }
}
