/** @file `regauge schema`: the JSON schema of run files. */
import { runJsonSchema } from '../../train/index.ts'
import type { Command } from '../context.ts'

export const run: Command<'schema'> = async ({ terminal }) => {
  terminal.data(JSON.stringify(runJsonSchema(), null, 2))
  return 0
}
