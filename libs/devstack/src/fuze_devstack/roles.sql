-- Written by `make services` from services.toml and deploy/roles.sql.jinja.
--
-- The roles and schemas of Fuze, in one database; idempotent. Run it with psql as the owner of the
-- database, who needs CREATEROLE and need not be a superuser. Each role's password is in the
-- environment.
--
-- A service has two roles: the migrator owns its schema and migrates it; the service runs as the
-- other, with the rights that the migrations grant and no more.
--
-- FUZE_DB_CONNECTION_LIMIT is the number of connections of each service's role: the number of its
-- processes, twice during a deployment, times (FUZE_DATABASE_POOL_SIZE + 1, for its health check).
\set ON_ERROR_STOP on
\getenv order_password FUZE_ORDER_DB_PASSWORD
\if :{?order_password} \else \set missing FUZE_ORDER_DB_PASSWORD \endif
\getenv order_migrator_password FUZE_ORDER_MIGRATOR_DB_PASSWORD
\if :{?order_migrator_password} \else \set missing FUZE_ORDER_MIGRATOR_DB_PASSWORD \endif
\getenv payment_password FUZE_PAYMENT_DB_PASSWORD
\if :{?payment_password} \else \set missing FUZE_PAYMENT_DB_PASSWORD \endif
\getenv payment_migrator_password FUZE_PAYMENT_MIGRATOR_DB_PASSWORD
\if :{?payment_migrator_password} \else \set missing FUZE_PAYMENT_MIGRATOR_DB_PASSWORD \endif
\getenv shipping_password FUZE_SHIPPING_DB_PASSWORD
\if :{?shipping_password} \else \set missing FUZE_SHIPPING_DB_PASSWORD \endif
\getenv shipping_migrator_password FUZE_SHIPPING_MIGRATOR_DB_PASSWORD
\if :{?shipping_migrator_password} \else \set missing FUZE_SHIPPING_MIGRATOR_DB_PASSWORD \endif
\getenv gateway_password FUZE_GATEWAY_DB_PASSWORD
\if :{?gateway_password} \else \set missing FUZE_GATEWAY_DB_PASSWORD \endif
\getenv gateway_migrator_password FUZE_GATEWAY_MIGRATOR_DB_PASSWORD
\if :{?gateway_migrator_password} \else \set missing FUZE_GATEWAY_MIGRATOR_DB_PASSWORD \endif
\getenv webhooks_password FUZE_WEBHOOKS_DB_PASSWORD
\if :{?webhooks_password} \else \set missing FUZE_WEBHOOKS_DB_PASSWORD \endif
\getenv webhooks_migrator_password FUZE_WEBHOOKS_MIGRATOR_DB_PASSWORD
\if :{?webhooks_migrator_password} \else \set missing FUZE_WEBHOOKS_MIGRATOR_DB_PASSWORD \endif
\if :{?missing}
\set stop 'BEGIN RAISE EXCEPTION $$' :missing ' is not set; a password, such as openssl rand -hex 24 prints$$; END'
DO :'stop';
\endif
\set connection_limit 44
\getenv connection_limit FUZE_DB_CONNECTION_LIMIT
\set migrator_connection_limit 4

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY[
    'fuze_order',
    'fuze_order_migrator',
    'fuze_payment',
    'fuze_payment_migrator',
    'fuze_shipping',
    'fuze_shipping_migrator',
    'fuze_gateway',
    'fuze_gateway_migrator',
    'fuze_webhooks',
    'fuze_webhooks_migrator'
]) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

ALTER ROLE fuze_order PASSWORD :'order_password'
    CONNECTION LIMIT :connection_limit;
ALTER ROLE fuze_order_migrator PASSWORD :'order_migrator_password'
    CONNECTION LIMIT :migrator_connection_limit;
ALTER ROLE fuze_payment PASSWORD :'payment_password'
    CONNECTION LIMIT :connection_limit;
ALTER ROLE fuze_payment_migrator PASSWORD :'payment_migrator_password'
    CONNECTION LIMIT :migrator_connection_limit;
ALTER ROLE fuze_shipping PASSWORD :'shipping_password'
    CONNECTION LIMIT :connection_limit;
ALTER ROLE fuze_shipping_migrator PASSWORD :'shipping_migrator_password'
    CONNECTION LIMIT :migrator_connection_limit;
ALTER ROLE fuze_gateway PASSWORD :'gateway_password'
    CONNECTION LIMIT :connection_limit;
ALTER ROLE fuze_gateway_migrator PASSWORD :'gateway_migrator_password'
    CONNECTION LIMIT :migrator_connection_limit;
ALTER ROLE fuze_webhooks PASSWORD :'webhooks_password'
    CONNECTION LIMIT :connection_limit;
ALTER ROLE fuze_webhooks_migrator PASSWORD :'webhooks_migrator_password'
    CONNECTION LIMIT :migrator_connection_limit;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database())
\gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role)
FROM unnest(ARRAY[
    'fuze_order',
    'fuze_order_migrator',
    'fuze_payment',
    'fuze_payment_migrator',
    'fuze_shipping',
    'fuze_shipping_migrator',
    'fuze_gateway',
    'fuze_gateway_migrator',
    'fuze_webhooks',
    'fuze_webhooks_migrator'
]) AS role
\gexec

-- Only a member of a role can give it a schema; we are one for this moment.
GRANT fuze_order_migrator TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS orders AUTHORIZATION fuze_order_migrator;
GRANT USAGE ON SCHEMA orders TO fuze_order;
REVOKE fuze_order_migrator FROM CURRENT_USER;
GRANT fuze_payment_migrator TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS payments AUTHORIZATION fuze_payment_migrator;
GRANT USAGE ON SCHEMA payments TO fuze_payment;
REVOKE fuze_payment_migrator FROM CURRENT_USER;
GRANT fuze_shipping_migrator TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS shipping AUTHORIZATION fuze_shipping_migrator;
GRANT USAGE ON SCHEMA shipping TO fuze_shipping;
REVOKE fuze_shipping_migrator FROM CURRENT_USER;
GRANT fuze_gateway_migrator TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS gateway AUTHORIZATION fuze_gateway_migrator;
GRANT USAGE ON SCHEMA gateway TO fuze_gateway;
REVOKE fuze_gateway_migrator FROM CURRENT_USER;
GRANT fuze_webhooks_migrator TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS webhooks AUTHORIZATION fuze_webhooks_migrator;
GRANT USAGE ON SCHEMA webhooks TO fuze_webhooks;
REVOKE fuze_webhooks_migrator FROM CURRENT_USER;
