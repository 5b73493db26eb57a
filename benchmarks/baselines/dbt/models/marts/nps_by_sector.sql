{{ config(post_hook="{{ parquet() }}") }}

SELECT * FROM {{ ref('estimate') }} WHERE measure_code = 'recommendation' ORDER BY ALL
