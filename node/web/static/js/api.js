// Requests to the node that served this page, and what its refusals say.

const TOKEN = "deltamesh-token";
let token = null;
try {
  token = sessionStorage.getItem(TOKEN);
} catch {
  // storage is off: the token lasts as long as the page
}

/** A refusal or a silence of the node; `status` is 0 when it could not be reached. */
export class ApiFailure extends Error {
  constructor(status, message, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Send this token from now on; it is forgotten with the tab. */
export function useToken(value) {
  token = value || null;
  try {
    if (token) sessionStorage.setItem(TOKEN, token);
    else sessionStorage.removeItem(TOKEN);
  } catch {
    // storage is off
  }
}

/** The response to a request. Raises ApiFailure for anything but a success. */
export async function request(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { cache: "no-store", credentials: "omit", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiFailure(0, "The node does not answer.");
  }
  if (response.ok) return response;
  let said = null;
  try {
    said = (await response.json()).error;
  } catch {
    // not from the API: a proxy's page, say
  }
  throw new ApiFailure(
    response.status,
    said?.message ?? `The node answers ${response.status}.`,
    said?.code ?? null,
  );
}

/** The JSON at a path. */
export async function get(path, options) {
  return (await request(path, options)).json();
}

/** POST JSON; resolves to the response. */
export async function post(path, body, headers = {}) {
  const options = {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", ...headers },
  };
  return request(path, options);
}
