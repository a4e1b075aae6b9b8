/** @file Hugging Face `config.json`: read with bounds, kept whole, written as transformers writes it. */
import { readFile, stat } from 'node:fs/promises'
import { RegaugeError } from '../errors.ts'

/** The keys of a `config.json`, none of them interpreted yet. */
export type HfConfig = Readonly<Record<string, unknown>>

/** Real ones take a few kilobytes. */
const LIMIT_BYTES = 1 << 20

/** Reads a `config.json`. Throws RegaugeError when it is missing, too large, or not a JSON object. */
export async function readHfConfig(path: string): Promise<HfConfig> {
  const fail = (code: string, message: string, hint?: string, cause?: unknown): never => {
    const issue = { code, file: path, message, ...(hint === undefined ? {} : { hint }) }
    throw new RegaugeError('usage', issue, { cause })
  }
  const size = await stat(path).then(
    (found) => found.size,
    (cause) =>
      fail(
        'CONFIG_MISSING',
        'the model configuration cannot be read',
        'give the path of a config.json',
        cause,
      ),
  )
  if (size > LIMIT_BYTES)
    fail('CONFIG_SIZE', `${size} bytes is too large for a config.json (at most ${LIMIT_BYTES})`)
  const text = await readFile(path, 'utf8').catch((cause) =>
    fail('CONFIG_MISSING', String(cause), undefined, cause),
  )
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as HfConfig
  } catch (cause) {
    fail('CONFIG_SYNTAX', `not valid JSON: ${(cause as Error).message}`, undefined, cause)
  }
  return fail('CONFIG_SYNTAX', 'a config.json holds one JSON object')
}

/** The text of a `config.json`: keys sorted, as transformers writes them. */
export function hfConfigText(config: HfConfig): string {
  const sorted = Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)))
  return `${JSON.stringify(sorted, null, 2)}\n`
}
