{# An answer as a whole number of steps; below zero what is no answer. #}
{% macro answer_or_reason(value, least, most, cell) %}
CASE WHEN {{ value }} BETWEEN {{ least }} AND {{ most }} THEN {{ value }} ELSE
  CASE trim(coalesce({{ cell }}, ''))
    WHEN '' THEN -1 WHEN '99' THEN -2 WHEN 'weet niet' THEN -2 WHEN 'wil niet zeggen' THEN -3 ELSE -4 END
END::TINYINT
{% endmacro %}

{% macro grade(cell) %}
{{ answer_or_reason("(10 * try_cast(replace(" ~ cell ~ ", ',', '.') AS DECIMAL(6, 1)))::INTEGER", 10, 100, cell) }}
{% endmacro %}

{% macro point(cell) %}
{{ answer_or_reason("try_cast(" ~ cell ~ " AS INTEGER)", 0, 10, cell) }}
{% endmacro %}

{% macro pseudonym(kind, column) %}
left(sha256('{{ env_var("BENCHMARK_PREFIX_" ~ kind) }}' || {{ column }}), 32)
{% endmacro %}
