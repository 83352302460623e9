-- SPDX-License-Identifier: Apache-2.0
-- The shop: what it sells, and the carts of its customers. Keys come from the client, so that two sites never draw the same.
create table item (id text primary key, title text not null, stock integer not null);
create table cart (session text not null, item text not null references item (id), pieces integer not null,
                   primary key (session, item));
create table guestbook (id uuid primary key default gen_random_uuid(), author text, entry text, stars integer);
insert into item values ('lamp', 'A lamp', 100), ('chair', 'A chair', 40), ('table', 'A table', 10);
