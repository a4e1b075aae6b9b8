#!/usr/bin/env node
/** @file The executable: hands the process's words and streams over, and takes the exit code. */
import { setFlagsFromString } from 'node:v8'
import { reportError, runCli } from './app.ts'
import { openTerminal } from './ui/terminal.ts'

// By itself V8 compiles what has run for about a millisecond, and compiling takes most of a plan; what trains for long is
// compiled all the same.
setFlagsFromString('--interrupt-budget=1000000')

const words = process.argv.slice(2)

process.on('uncaughtException', (error) => {
  const terminal = openTerminal(process.stdout, process.stderr, process.env)
  // a stream that cannot be written to cannot tell of it either
  const told = words.includes('--json') && (error as NodeJS.ErrnoException).syscall !== 'write'
  process.exit(reportError(error, told, terminal))
})

// Not process.exit: what is still on its way to a pipe must arrive.
process.exitCode = await runCli(words, process, process.env)
