/** @file The command line in this process: for tests of what it says. */
import { runCli } from '../src/cli/app.ts'
import type { Output } from '../src/cli/ui/terminal.ts'

/** Runs the command, as where both outputs are piped; `run` is that of the sources or of the build. */
export async function command(
  words: readonly string[],
  run = runCli,
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const [out, err]: [string[], string[]] = [[], []]
  const stream = (texts: string[]): Output => ({
    write: (text) => texts.push(text) > 0,
    on: () => {},
    off: () => {},
  })
  const code = await run([...words], { stdout: stream(out), stderr: stream(err) }, {})
  return { code, out: out.join(''), err: err.join('') }
}
