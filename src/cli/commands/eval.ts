/** @file `regauge eval`: loss and bits per byte of a trained model on text that it did not see. */

import { RegaugeError } from '../../errors.ts'
import { parseTarget } from '../../runtime/index.ts'
import { evaluateModel, openModel } from '../../train/index.ts'
import { duration, grouped } from '../../words.ts'
import type { Command } from '../context.ts'

export const run: Command<'eval'> = async ({ arguments: [path], options, json, terminal }) => {
  const { data, batches, threads, on } = options
  const model = await openModel(path!, {
    ...(threads !== undefined && { threads }),
    ...(on !== undefined && { on: parseTarget(on) }),
    note: (message: string) => terminal.talk(message),
  })
  try {
    const result = await evaluateModel(model, path!, {
      ...(data.length > 0 && { data }),
      ...(batches !== undefined && { batches }),
    })
    if (!Number.isFinite(result.loss)) {
      const message = `the loss is ${result.loss}: the weights hold NaN or infinity, or give it`
      const hint = 'take another checkpoint, or fetch the model again'
      throw new RegaugeError('data', { code: 'EVAL_NOT_FINITE', file: model.folder, message, hint })
    }
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
