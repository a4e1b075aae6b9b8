/** @file Hugging Face `config.json`: read with bounds, kept whole, written as transformers writes it. */
import { readFile, stat } from 'node:fs/promises'
import { RegaugeError } from '../errors.ts'

/** The keys of a `config.json`, none of them interpreted yet. */
export type HfConfig = Readonly<Record<string, unknown>>

/** Real ones take a few kilobytes. */
const LIMIT_BYTES = 1 << 20
/** Real ones nest three levels. Unknown keys are kept and written again, which recurses. */
const LIMIT_DEPTH = 64

const REMEDY = 'give the path of a config.json'

/** Reads a `config.json`. Throws RegaugeError when it is missing, too large, or not a JSON object. */
export async function readHfConfig(path: string): Promise<HfConfig> {
  const fail = (code: string, message: string, hint?: string, cause?: unknown): never => {
    const issue = { code, file: path, message, ...(hint === undefined ? {} : { hint }) }
    throw new RegaugeError('usage', issue, { cause })
  }
  const size = await stat(path).then(
    // a pipe or a device has no size, and reading it may never end
    (found) => (found.isFile() ? found.size : fail('CONFIG_MISSING', 'is not a file', REMEDY)),
    (cause) => fail('CONFIG_MISSING', 'the model configuration cannot be read', REMEDY, cause),
  )
  if (size > LIMIT_BYTES)
    fail('CONFIG_SIZE', `${size} bytes is too large for a config.json (at most ${LIMIT_BYTES})`)
  const bytes = await readFile(path).catch((cause) => fail('CONFIG_MISSING', String(cause), undefined, cause))
  const text = decoded(bytes) ?? fail('CONFIG_SYNTAX', 'the file is not UTF-8', 'save it as UTF-8')
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      if (!isDeeper(value, LIMIT_DEPTH)) return value as HfConfig
      fail('CONFIG_SYNTAX', `nested deeper than ${LIMIT_DEPTH} levels`)
    }
  } catch (cause) {
    if (cause instanceof RegaugeError) throw cause
    fail('CONFIG_SYNTAX', `not valid JSON: ${(cause as Error).message}`, undefined, cause)
  }
  return fail('CONFIG_SYNTAX', 'a config.json holds one JSON object')
}

/** UTF-8 without the mark of its byte order that editors may put before it; undefined for what is none. */
function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** Whether objects and lists nest more than `levels` deep; goes no deeper than that itself. */
function isDeeper(value: object, levels: number): boolean {
  return Object.values(value).some(
    (inner) => typeof inner === 'object' && inner !== null && (levels === 1 || isDeeper(inner, levels - 1)),
  )
}

/** Keys whose numbers transformers takes as floats alone: of these 30 is refused, and 30.0 taken. */
const FLOATS = [
  'attn_logit_softcapping',
  'final_logit_softcapping',
  'initializer_range',
  'layer_norm_epsilon',
  'rms_norm_eps',
]
/** A line of such a key with a whole number. */
const WHOLE = new RegExp(`^(  "(?:${FLOATS.join('|')})": -?\\d+)(,?)$`, 'gm')

/** The text of a `config.json`: keys sorted, numbers and all as transformers writes them. */
export function hfConfigText(config: HfConfig): string {
  const sorted = Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)))
  return `${JSON.stringify(sorted, null, 2)}\n`.replace(WHOLE, '$1.0$2')
}
