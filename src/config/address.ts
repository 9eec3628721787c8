/**
 * The form of `host:port` options: a name, an IPv4 address or an IPv6 address in brackets, then a port.
 * What it lets through, the transport can dial.
 */
import { z } from 'zod';

const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)$/i;

/** What is wrong with the address, or undefined. */
export function addressProblem(address: string): string | undefined {
  const colon = address.lastIndexOf(':');
  const quoted = JSON.stringify(address);
  if (address.includes('://')) return `${quoted} is a URL; leave out ${quotedScheme(address)}`;
  if (colon <= 0) return `${quoted} has no port; write host:port, for example 127.0.0.1:5701`;
  const host = address.slice(0, colon);
  const port = address.slice(colon + 1);
  if (host.includes(':') && !host.startsWith('[')) {
    return `${quoted} is an IPv6 address without brackets; write [${host}]:${port}`;
  }
  if (!HOST.test(host)) return `${quoted} is not host:port; ${JSON.stringify(host)} is not a host`;
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
    return `${quoted} is not host:port; the port is a number from 1 to 65535`;
  }
  return undefined;
}

function quotedScheme(address: string): string {
  return JSON.stringify(address.slice(0, address.indexOf('://') + 3));
}

export const addressSchema = z
  .string()
  .max(256)
  .superRefine((address, context) => {
    const problem = addressProblem(address);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  })
  .meta({ examples: ['127.0.0.1:5701'] });
