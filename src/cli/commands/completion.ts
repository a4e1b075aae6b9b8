/** @file `regauge completion`: a script for the shell, made from the table of commands. */
import { completionScript, type Shell } from '../completion.ts'
import type { Command } from '../context.ts'

export const run: Command<'completion'> = async ({ arguments: [shell], terminal }) => {
  terminal.data(completionScript(shell as Shell))
  return 0
}
