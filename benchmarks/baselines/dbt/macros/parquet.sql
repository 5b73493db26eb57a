{# After a table was made: the same as Parquet. #}
{% macro parquet() %}
COPY {{ this }} TO '{{ env_var("BENCHMARK_OUT") }}/{{ this.identifier }}.parquet'
(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)
{% endmacro %}
