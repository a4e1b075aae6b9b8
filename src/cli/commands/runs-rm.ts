/** @file `regauge runs rm`: removes runs, once a person or a script has said so. */
import { createInterface } from 'node:readline/promises'
import { RegaugeError } from '../../errors.ts'
import { removeRun, runRemains, shownPath } from '../../train/index.ts'
import { findRun } from '../../watch/index.ts'
import { bytes } from '../../words.ts'
import type { Command } from '../context.ts'
import { problemList, usageIssues } from '../quantities.ts'

export const run: Command<'runs rm'> = async ({ arguments: words, options, json, terminal }) => {
  const problems = problemList()
  const found = new Map<string, string>()
  for (const word of words) {
    try {
      const folder = findRun(word, options.runs ?? 'runs')
      const { checkpoints, bytes: size } = runRemains(folder)
      const kept = `${checkpoints} checkpoint${checkpoints === 1 ? '' : 's'}`
      found.set(folder, `${shownPath(folder)} with ${kept}, ${bytes(size)}`)
    } catch (error) {
      usageIssues(error).forEach(problems.report)
    }
  }
  problems.end()
  if (!options.yes && !(await agreed([...found.values()], json, terminal.live))) {
    terminal.talk('nothing was removed')
    return 0
  }
  const removed = []
  for (const [folder, text] of found) {
    removed.push({ folder, ...(await removeRun(folder)) })
    if (!json) terminal.talk(`removed ${text}`)
  }
  if (json) terminal.data(JSON.stringify(removed, null, 2))
  return 0
}

/** Asks the person at the terminal; where there is none, throws a `usage` error: a script says so by an option. */
async function agreed(runs: readonly string[], json: boolean, live: boolean): Promise<boolean> {
  if (json || !live || !process.stdin.isTTY) {
    throw new RegaugeError('usage', {
      code: 'RUNS_RM_UNASKED',
      message: `this would remove ${runs.join('; ')}, and nobody can be asked here`,
      hint: 'say --yes',
    })
  }
  const questions = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await questions.question(`remove ${runs.join('; ')}, for good? [y/N] `)
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    questions.close()
  }
}
