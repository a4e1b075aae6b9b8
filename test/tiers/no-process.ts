/** @file Holds unit tests to their tier: they start no process, by whatever code. */
import childProcess from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'

const STARTERS = ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'] as const

for (const name of STARTERS)
  childProcess[name] = (() => {
    throw new Error(
      `${name}: a unit test starts no process; what needs one is in a file *.slow.test.ts or *.e2e.test.ts`,
    )
  }) as never
// imports by name see it too
syncBuiltinESMExports()
