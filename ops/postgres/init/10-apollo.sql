-- The roles and the database of Apollo. The PostgreSQL image runs this once, as the superuser, when its data folder is
-- still empty; a password that is changed later is changed with `ALTER ROLE … PASSWORD`.

\getenv apollo_password DATABASE_PASSWORD
\getenv worker_password DATABASE_WORKER_PASSWORD
\getenv reader_password DATABASE_READER_PASSWORD

-- The role that owns the database, so that `apollo-worker migrate` can change it, and has no right beyond it.
CREATE ROLE apollo LOGIN PASSWORD :'apollo_password';
CREATE DATABASE apollo OWNER apollo;

-- The role of the workers. It owns nothing: `apollo-worker migrate` grants it the rows of Apollo's tables, and no more.
CREATE ROLE apollo_worker LOGIN PASSWORD :'worker_password';

-- Grafana's role: it reads, briefly, and never takes the connections that the workers need. What it may read is granted
-- by ../reader.sql, after the migrations have made it.
CREATE ROLE apollo_reader LOGIN PASSWORD :'reader_password' CONNECTION LIMIT 20;
ALTER ROLE apollo_reader SET default_transaction_read_only = on;
ALTER ROLE apollo_reader SET statement_timeout = '60s';

-- Nobody else gets in.
REVOKE ALL ON DATABASE apollo FROM PUBLIC;
GRANT CONNECT ON DATABASE apollo TO apollo_worker, apollo_reader;
