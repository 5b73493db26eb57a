{{ config(post_hook="{{ parquet() }}") }}

SELECT * FROM {{ ref('estimate') }} WHERE measure_code = 'employee_satisfaction' ORDER BY ALL
