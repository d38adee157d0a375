"""The contract for machines, generated from its declarations in code: OpenAPI, AsyncAPI, TypeScript types."""
