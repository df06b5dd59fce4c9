// The path below which the page asks: that of a customer's link, `/shared/<id>/`, or `/`.

export const base = /^\/shared\/[0-9a-f]{12}\//.exec(location.pathname)?.[0] ?? "/";
