/**
 * Paths, and what is made of paths, in messages: what is read is checked like what a user gives, so that no handler sees one
 * that means nothing. A violation is a `ProtocolError`. Called by the fields of operations.
 */
import { ProtocolError } from '../../src/base/errors.js';
import { type Field, text } from '../../src/wire/fields.js';
import { MAX_PATH } from './limits.js';
import { pathOf } from './paths.js';

/** UTF-8 takes up to three bytes for a UTF-16 unit. */
const pathText = text(3 * MAX_PATH);

/** In its one form. */
export const pathField: Field<string> = checkedField(pathText, (path) => pathOf(path).text);

/** Without `[any]`. */
export const singlePathField: Field<string> = checkedField(pathText, (path) => {
  const { text: inOneForm, hasAny } = pathOf(path);
  if (hasAny) throw new TypeError(`attribute ${inOneForm}: it leads to several values`);
  return inOneForm;
});

/** The same on the wire; `check` throws a `TypeError` for what may not be read. */
export function checkedField<T>(field: Field<T>, check: (read: T) => T): Field<T> {
  return {
    ...field,
    read: (input) => {
      const read = field.read(input);
      try {
        return check(read);
      } catch (error) {
        if (error instanceof TypeError) throw new ProtocolError(error.message);
        throw error;
      }
    },
  };
}
