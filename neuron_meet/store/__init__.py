"""PostgreSQL through Prisma: the only code that imports the Prisma client."""
