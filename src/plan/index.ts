/** @file Planning: which layouts engines run. */
export { violations } from './rules.ts'
