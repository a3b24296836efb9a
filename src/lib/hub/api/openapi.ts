// The OpenAPI 3.1 document, from the table of routes.

import {toJsonSchema} from '@valibot/to-json-schema';
import type {GenericSchema} from 'valibot';
import {ROUTES, type Route} from './routes.js';
import {PROBLEM} from './schemas.js';

const schemaOf = (schema: GenericSchema) => {
  const {$schema: _, ...rest} = toJsonSchema(schema, {errorMode: 'ignore'});
  return rest;
};

const json = (schema: GenericSchema) => ({'application/json': {schema: schemaOf(schema)}});

function operationOf({summary, body, query = [], answers, path}: Route) {
  const parameters = [
    ...(path.includes('{id}') ? [{name: 'id', in: 'path', required: true, schema: {type: 'string'}}] : []),
    ...query.map(([name, description]) => ({name, in: 'query', description, schema: {type: 'string'}})),
  ];
  const responses = answers.map(([status, description, schema]) => [
    String(status),
    {description, ...(schema !== undefined && {content: json(schema)})},
  ]);
  return {
    summary,
    parameters,
    ...(body !== undefined && {requestBody: {content: json(body)}}),
    responses: {
      ...Object.fromEntries(responses),
      default: {
        description: 'A problem.',
        content: {'application/problem+json': {schema: schemaOf(PROBLEM)}},
      },
    },
  };
}

/** @param url of the hub @param version of the program */
export function openApi({url, version}: {url: string; version: string}): object {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of ROUTES) {
    paths[route.path] ??= {};
    (paths[route.path] as Record<string, unknown>)[route.method.toLowerCase()] = operationOf(route);
  }
  return {
    openapi: '3.1.0',
    info: {title: 'tunl hub', version},
    servers: [{url}],
    security: [{token: []}],
    paths,
    components: {securitySchemes: {token: {type: 'http', scheme: 'bearer'}}},
  };
}
