#!/usr/bin/env node
/** @file The executable: hands the process's words and streams over, and takes the exit code. */
import { reportError, runCli } from './app.ts'
import { compileLater } from './compile-later.ts'
import { openTerminal } from './ui/terminal.ts'

compileLater()

const words = process.argv.slice(2)

process.on('uncaughtException', (error) => {
  const terminal = openTerminal(process.stdout, process.stderr, process.env)
  // a stream that cannot be written to cannot tell of it either
  const told = words.includes('--json') && (error as NodeJS.ErrnoException).syscall !== 'write'
  process.exit(reportError(error, told, terminal))
})

// Not process.exit: what is still on its way to a pipe must arrive.
process.exitCode = await runCli(words, process, process.env)
