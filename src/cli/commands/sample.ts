/** @file `regauge sample`: continues a text with a trained model, printed as it comes. */
import { RegaugeError } from '../../errors.ts'
import { parseTarget } from '../../runtime/index.ts'
import { continueText, openModel } from '../../train/index.ts'
import type { Command } from '../context.ts'

export const run: Command<'sample'> = async ({ arguments: [path, given], options, json, terminal }) => {
  const prompt = given ?? (await pipedInput())
  const settings = {
    tokens: options.tokens ?? 200,
    temperature: options.temperature ?? 0.8,
    seed: options.seed ?? 1,
    ...(options['top-k'] !== undefined && { topK: options['top-k'] }),
    ...(options['top-p'] !== undefined && { topP: options['top-p'] }),
  }
  const { topP = 1 } = settings
  if (topP === 0 || topP > 1) {
    const message = `--top-p must be above 0 and at most 1, got ${topP}`
    throw new RegaugeError('usage', { code: 'CLI_VALUE', message })
  }

  const model = await openModel(path!, {
    ...(options.threads !== undefined && { threads: options.threads }),
    ...(options.on !== undefined && { on: parseTarget(options.on) }),
    note: (message: string) => terminal.talk(message),
  })
  try {
    let text = ''
    let tokens = 0
    const start = performance.now()
    for await (const piece of continueText(model, prompt, settings)) {
      // not sooner: a prompt that does not fit is an error and no text
      if (!json && tokens === 0) terminal.piece(prompt)
      tokens++
      text += piece.text
      if (!json) terminal.piece(piece.text)
    }
    const seconds = (performance.now() - start) / 1000
    if (json) {
      const tokensPerSecond = tokens / seconds
      terminal.data(
        JSON.stringify({ folder: model.folder, prompt, text, tokens, seconds, tokensPerSecond }, null, 2),
      )
    } else terminal.piece(tokens === 0 ? `${prompt}\n` : '\n')
  } finally {
    model.dispose()
  }
  return 0
}

/** The prompt from standard input, unless that is a terminal: then the prompt is empty. */
async function pipedInput(): Promise<string> {
  if (process.stdin.isTTY) return ''
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '')
}
