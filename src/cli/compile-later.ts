/** @file How the executable has V8 compile. */
import { setFlagsFromString } from 'node:v8'

/**
 * Makes V8 compile functions later. By itself it compiles what has run for about a millisecond, which takes most of a plan;
 * what trains for long is compiled all the same.
 */
export function compileLater(): void {
  setFlagsFromString('--interrupt-budget=1000000')
}
