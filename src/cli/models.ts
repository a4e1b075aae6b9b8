/** @file Models that regauge ships a `config.json` of, to plan for by name. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nearest, RegaugeError } from '../errors.ts'

/** In the package, seen from `src/cli/` and `dist/cli/` alike. */
const FOLDER = fileURLToPath(new URL('../../examples/models/', import.meta.url))

/** Names of the models that ship, sorted. */
export function modelNames(): string[] {
  return readdirSync(FOLDER).sort()
}

/**
 * The path that `word` stands for: itself where something is there, else that of the model that ships under this name.
 * Throws a `usage` error with the nearest name, or all names, where it is neither.
 */
export function modelPath(word: string): string {
  if (isThere(word)) return word
  const names = modelNames()
  if (names.includes(word)) return join(FOLDER, word)
  const near = nearest(word, names)
  throw new RegaugeError('usage', {
    code: 'MODEL_MISSING',
    message: 'no such file or folder, and no model of this name ships',
    file: word,
    hint: near
      ? `did you mean ${near}?`
      : `give the folder of a model or its config.json, or one of ${names.join(', ')}`,
  })
}

/** What cannot be looked at is there too: who reads it says why not. */
function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return true
  }
}
