{{ config(post_hook="{{ parquet() }}") }}

SELECT * FROM {{ ref('estimate') }} WHERE measure_code = 'channel_rating' ORDER BY ALL
