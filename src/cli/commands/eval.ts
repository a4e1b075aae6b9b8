/** @file `regauge eval`: loss and bits per byte of a trained model on text that it did not see. */
import { RegaugeError } from '../../errors.ts'
import { evaluateModel, openModel } from '../../train/index.ts'
import type { Command } from '../context.ts'
import { duration, grouped } from '../ui/format.ts'

export const run: Command<'eval'> = async ({ arguments: [path], options, json, terminal }) => {
  const { data, batches, threads } = options
  if (batches !== undefined && batches < 1) {
    const message = `--batches must be at least 1, got ${batches}`
    throw new RegaugeError('usage', { code: 'CLI_VALUE', message })
  }
  const model = await openModel(path!, {
    ...(threads !== undefined && { threads }),
    note: (message: string) => terminal.talk(message),
  })
  try {
    const result = await evaluateModel(model, path!, {
      ...(data.length > 0 && { data }),
      ...(batches !== undefined && { batches }),
    })
    if (json) terminal.data(JSON.stringify({ folder: model.folder, ...result }, null, 2))
    else {
      const { loss, bitsPerByte, tokens, seconds } = result
      terminal.data(`loss=${loss.toFixed(4)} bitsPerByte=${bitsPerByte.toFixed(4)} tokens=${tokens}`)
      terminal.talk(`${grouped(tokens)} tokens in ${duration(seconds)}, weights of ${model.folder}`)
    }
  } finally {
    model.dispose()
  }
  return 0
}
