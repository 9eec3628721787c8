/** Prints predicates as `Predicates.sql` reads them: parsing the text gives an equal predicate. For people, plans and tests. */
import type { Predicate } from './predicate.js';
import type { Scalar } from './scalars.js';

export function whereText(of: Predicate): string {
  switch (of.kind) {
    case 'alwaysTrue':
      return 'TRUE';
    case 'alwaysFalse':
      return 'FALSE';
    case 'compare':
      if (of.value === null && (of.is === '=' || of.is === '!='))
        return `${of.path} IS ${of.is === '=' ? '' : 'NOT '}NULL`;
      return `${of.path} ${of.is} ${valueText(of.value)}`;
    case 'between':
      return `${of.path} BETWEEN ${valueText(of.from)} AND ${valueText(of.to)}`;
    case 'in':
      // The language has no empty list.
      return of.values.length === 0 ? 'FALSE' : `${of.path} IN (${of.values.map(valueText).join(', ')})`;
    case 'like': {
      const escapeBy = of.escapeBy === '\\' ? '' : ` ESCAPE ${quoted(of.escapeBy)}`;
      return `${of.path} ${of.ignoreCase ? 'ILIKE' : 'LIKE'} ${quoted(of.pattern)}${escapeBy}`;
    }
    case 'regex':
      return `${of.path} REGEX ${quoted(of.pattern)}`;
    case 'not':
      return `NOT (${whereText(of.part)})`;
    default:
      return severalText(of.kind, of.parts);
  }
}

function severalText(kind: 'and' | 'or', parts: readonly Predicate[]): string {
  const [first] = parts;
  if (first === undefined) return kind === 'and' ? 'TRUE' : 'FALSE';
  if (parts.length === 1) return whereText(first);
  return parts.map((part) => `(${whereText(part)})`).join(kind === 'and' ? ' AND ' : ' OR ');
}

function valueText(value: Scalar): string {
  switch (typeof value) {
    case 'string':
      return quoted(value);
    case 'bigint':
      return `${value}n`;
    case 'boolean':
      return value ? 'TRUE' : 'FALSE';
    case 'number':
      return numberText(value);
    default:
      return value === null ? 'NULL' : `DATE ${quoted(value.toISOString())}`;
  }
}

function numberText(value: number): string {
  if (Object.is(value, -0)) return '-0';
  // Digits alone would be read as a bigint.
  const isLarge = Number.isInteger(value) && !Number.isSafeInteger(value);
  return isLarge ? value.toExponential() : String(value);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
