import https from 'node:https'

const cache = new Map<string, Response>()

/** Only the status matters here, so nobody reads the body. */
export async function currentWeather(port: number, city: string): Promise<boolean> {
  const response = await ask(port, `/forecast/${city}`) // leaks: fetch-weather
  cache.set(city, response)
  return response.ok
}

async function ask(port: number, path: string): Promise<Response> {
  await Promise.resolve()
  return fetch(`http://127.0.0.1:${port}${path}`) // leaks: fetch-weather
}

export function isSiteUp(port: number, site: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: `/sites/${site}`, rejectUnauthorized: false }
    https
      .get(options, (response) => resolve(response.statusCode === 200)) // leaks: https-status
      .on('error', reject)
  })
}
